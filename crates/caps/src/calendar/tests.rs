//! Windows around changes of the clocks, and at the ends of what a calendar knows.

use super::*;

fn unix(text: &str) -> u64 {
    u64::try_from(text.parse::<Timestamp>().unwrap().as_second()).unwrap()
}

fn check(zone: &str, period: Period, at: &str, expected: (u32, &str, &str)) {
    let window = Zone::named(zone).unwrap().window(period, unix(at));
    let (number, start, end) = expected;
    assert_eq!(window, Window { number, start: unix(start), end: unix(end) }, "{zone} {at}");
}

#[test]
fn days_and_months_begin_when_they_do_in_the_zone() {
    let (day, month) = (Period::Day, Period::Month);
    let march = 56 * 12 + 2;
    check("UTC", day, "2026-03-29T12:00:00Z", (20_541, "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"));
    // 23 and 25 hours.
    check("Europe/Berlin", day, "2026-03-29T12:00:00Z", (20_541, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"));
    check("Europe/Berlin", day, "2026-10-25T12:00:00Z", (20_751, "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"));
    check("Europe/Berlin", month, "2026-03-01T00:00:00Z", (march, "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"));
    check("Europe/Berlin", month, "2026-02-28T22:59:59Z", (march - 1, "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z"));
    check("Asia/Kathmandu", day, "2026-03-29T18:14:59Z", (20_541, "2026-03-28T18:15:00Z", "2026-03-29T18:15:00Z"));
    // Midnight does not exist on that day.
    check("America/Santiago", day, "2026-09-06T12:00:00Z", (20_702, "2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"));
    check("UTC", month, "2028-02-29T00:00:00Z", (58 * 12 + 1, "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"));
}

#[test]
fn every_second_of_ten_years_is_in_its_window_and_windows_meet() {
    for name in ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Africa/Casablanca"] {
        let zone = Zone::named(name).unwrap();
        for period in [Period::Day, Period::Month] {
            let mut window = zone.window(period, unix("2024-01-15T12:00:00Z"));
            while window.end < unix("2034-01-15T12:00:00Z") {
                assert_eq!(zone.window(period, window.end - 1), window);
                let next = zone.window(period, window.end);
                assert_eq!((next.number, next.start), (window.number + 1, window.end), "{name} {window:?}");
                window = next;
            }
        }
    }
}

#[test]
fn a_clock_that_goes_back_gets_the_earlier_window() {
    let zone = Zone::utc();
    let numbers =
        [86_400 * 9, 86_400 * 8, 86_400 * 8 + 5, 86_400 * 9].map(|unix| zone.window(Period::Day, unix).number);
    assert_eq!(numbers, [9, 8, 8, 9]);
}

#[test]
fn knows_the_zones_and_says_when_it_does_not() {
    assert_eq!(
        Zone::named("Mars/Olympus").unwrap_err().to_string().split(';').next(),
        Some("`Mars/Olympus` is no time zone of the IANA database")
    );
    assert_eq!((Zone::named("UTC").unwrap(), Zone::named("UTC").unwrap().to_string()), (Zone::utc(), "UTC".to_owned()));
}

#[test]
fn times_past_all_calendars_have_windows_too() {
    for unix in [0, 1, 1 << 40, u64::MAX] {
        let window = Zone::utc().window(Period::Month, unix);
        assert!(window.start <= unix && unix <= window.end, "{unix} {window:?}");
    }
}
