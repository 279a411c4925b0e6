//! Files that are closed by size and by time, compressed, deleted, and cannot be rotated.

use super::*;
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};

struct Rig {
    dir: tempfile::TempDir,
    now: Arc<AtomicU64>,
    tidying: Arc<Mutex<()>>,
}

impl Rig {
    fn new() -> Self {
        let now = Arc::new(AtomicU64::new(1_785_846_896_789));
        Self { dir: tempfile::tempdir().unwrap(), now, tidying: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("a.log")
    }

    fn pass(&self, millis: u64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
    }

    fn open(&self, rotation: Rotation) -> RotatingFile {
        let now = Arc::clone(&self.now);
        let clock = move || UNIX_EPOCH + Duration::from_millis(now.load(Ordering::Relaxed));
        RotatingFile::open(&self.path(), rotation, Arc::new(clock), Arc::clone(&self.tidying)).unwrap()
    }

    /// Tidies as the thread does, so that the test need not wait for it.
    fn tidy(&self, rotation: Rotation) {
        let _one = self.tidying.lock();
        tidy(&self.path(), rotation).unwrap();
    }

    /// The texts of all files, the oldest first, those of the open one last.
    fn texts(&self) -> Vec<String> {
        let mut files = closed_files(&self.path()).unwrap();
        files.push(self.path());
        files.iter().map(|file| read(file)).collect()
    }
}

fn read(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    let name = file.to_str().unwrap();
    if name.ends_with(".zst") {
        return String::from_utf8(zstd::decode_all(&*bytes).unwrap()).unwrap();
    }
    let mut text = String::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
        return text;
    }
    String::from_utf8(bytes).unwrap()
}

fn write_all(file: &mut RotatingFile, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let n = file.write(bytes).unwrap();
        bytes = &bytes[n..];
    }
}

const PLAIN: Rotation = Rotation { size: Some(ByteSize(10)), every: None, keep: 100, compress: None };

#[test]
fn a_file_never_grows_beyond_its_size_and_no_line_is_split() {
    let rig = Rig::new();
    let mut file = rig.open(PLAIN);
    write_all(&mut file, b"aaa\nbbb\nccc\nthis line is longer\nd\n");
    assert_eq!(rig.texts(), ["aaa\nbbb\n", "ccc\n", "this line is longer\n", "d\n"]);
}

#[test]
fn a_file_is_closed_at_the_turn_of_its_period_also_one_of_before_the_start() {
    let rig = Rig::new();
    let rotation = Rotation { size: None, every: Some(Duration::from_secs(60)), ..PLAIN };
    let mut file = rig.open(rotation);
    write_all(&mut file, b"a\n");
    rig.pass(2_000);
    write_all(&mut file, b"b\n");
    rig.pass(2_000);
    write_all(&mut file, b"c\n");
    assert_eq!(rig.texts(), ["a\nb\n", "c\n"], "12:34:56 and 58 are of one minute, 12:35:00 is of the next");
    // A clock that is set back closes nothing.
    rig.now.fetch_sub(3_600_000, Ordering::Relaxed);
    write_all(&mut file, b"d\n");
    assert_eq!(rig.texts().len(), 2);
    drop(file);
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    rig.now.store(u64::try_from(real).unwrap() + 120_000, Ordering::Relaxed);
    write_all(&mut rig.open(rotation), b"e\n");
    assert_eq!(rig.texts(), ["a\nb\n", "c\nd\n", "e\n"]);
}

#[test]
fn closed_files_are_compressed_and_the_oldest_are_deleted() {
    for compression in [Compression::Zstd, Compression::Gzip] {
        let rig = Rig::new();
        let rotation = Rotation { keep: 2, compress: Some(compression), ..PLAIN };
        fs::write(rig.dir.path().join("a.log.20200101T000000.000Z.zst.part"), "half").unwrap();
        for other in ["a.log.1", "b.log.20200101T000000.000Z", "a.log.20200101T000000.000Zebra"] {
            fs::write(rig.dir.path().join(other), "of somebody else").unwrap();
        }
        let mut file = rig.open(rotation);
        for line in ["1111111\n", "2222222\n", "3333333\n", "4444444\n"] {
            write_all(&mut file, line.as_bytes());
        }
        rig.tidy(rotation);
        assert_eq!(rig.texts(), ["2222222\n", "3333333\n", "4444444\n"]);
        let closed = closed_files(&rig.path()).unwrap();
        assert!(closed.iter().all(|file| file.to_str().unwrap().ends_with(compression.extension())), "{closed:?}");
        assert_eq!(fs::read_dir(rig.dir.path()).unwrap().count(), 3 + 3, "the half is gone, the others are not");
    }
}

#[test]
fn a_rotation_that_fails_costs_no_line_and_is_tried_again() {
    let rig = Rig::new();
    let mut file = rig.open(PLAIN);
    write_all(&mut file, b"aaaaaaa\n");
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("moved");
    fs::rename(rig.path(), &moved).unwrap();
    fs::remove_dir(rig.dir.path()).unwrap();
    write_all(&mut file, b"bbbbbbb\nccccccc\n");
    assert_eq!(fs::read_to_string(&moved).unwrap(), "aaaaaaa\nbbbbbbb\nccccccc\n");
    fs::create_dir(rig.dir.path()).unwrap();
    write_all(&mut file, b"d\n");
    assert!(!rig.path().exists(), "it is not tried at each write");
    rig.pass(10_000);
    write_all(&mut file, b"e\n");
    assert_eq!(rig.texts(), ["e\n"]);
}

#[test]
fn two_that_write_one_file_lose_no_line_and_keep_its_size() {
    let rig = Rig::new();
    let rotation = Rotation { compress: Some(Compression::Zstd), ..PLAIN };
    let (mut old, mut new) = (rig.open(rotation), rig.open(rotation));
    for (writer, line) in [(0, "1111\n"), (1, "2222\n"), (0, "3333\n"), (1, "4444\n"), (1, "5555\n"), (0, "6666\n")] {
        write_all(if writer == 0 { &mut old } else { &mut new }, line.as_bytes());
        rig.tidy(rotation);
    }
    assert_eq!(rig.texts(), ["1111\n2222\n", "3333\n4444\n", "5555\n6666\n"]);
}
