-- The shared side of caps, as `portcullis_caps::Pool` has it, for some pools at once.
--
-- KEYS: a pool each. ARGV: what is said of all (the gateways known and heard of, after how long a silent one is
-- forgotten), then the words, FIELDS of each. All numbers are whole and less than 2^52, so doubles hold them exactly;
-- lengths of time are in nanoseconds, times of Redis's clock in microseconds.
--
-- A bucket's debt is kept as whole tokens and a rest, in parts of a token of which there are `per`; time pays it off
-- at `count` parts a nanosecond. Nothing is rounded.

local FIELDS = 17
local MOST_GATEWAYS = 1024
local EXACT = 9007199254740992
-- A clock that is set back further than this, as after a failover to another machine, is taken as it is.
local SET_BACK = 1000000

local min, max, floor, fmod = math.min, math.max, math.floor, math.fmod

-- a * b / m as quotient and rest, whatever a * b is.
local function divide(a, b, m)
  local product = a * b
  if product < EXACT then
    local rest = fmod(product, m)
    return (product - rest) / m, rest
  end
  local b_rest = fmod(b, m)
  local b_whole = (b - b_rest) / m
  local whole, rest, bit = 0, 0, 4503599627370496
  while bit > a do bit = bit / 2 end
  while bit >= 1 do
    whole, rest = whole * 2, rest * 2
    if rest >= m then whole, rest = whole + 1, rest - m end
    if a >= bit then
      a, whole, rest = a - bit, whole + b_whole, rest + b_rest
      if rest >= m then whole, rest = whole + 1, rest - m end
    end
    bit = bit / 2
  end
  return whole, rest
end

-- Fields of what is known of a gateway.
local LIFE, WORD, BEFORE, SPENT, GRANTED, WANT, HEARD, KEPT = 1, 2, 3, 4, 5, 6, 7, 8

local function gone(entry) return max(entry[SPENT], entry[GRANTED]) end
local function less(a, b) return max(a - b, 0) end

local function is_silent(entry, now, ttl) return (now - entry[HEARD]) * 1000 >= ttl end

-- Pays off debt: a number of parts, given as tokens and rest.
local function pay(pool, tokens, rest, per)
  if tokens > pool.debt or (tokens == pool.debt and rest >= pool.rest) then
    pool.debt, pool.rest = 0, 0
    return
  end
  pool.debt, pool.rest = pool.debt - tokens, pool.rest - rest
  if pool.rest < 0 then pool.debt, pool.rest = pool.debt - 1, pool.rest + per end
end

local function pass_time(pool, now, ask, known, heard)
  local passed = (now - pool.at) * 1000
  pool.at = now
  if not ask.count or (pool.debt == 0 and pool.rest == 0) then return end
  local silent = less(known, heard)
  -- What silent gateways may be spending on their own does not come back.
  if silent > 0 and pool.debt * ask.per + pool.rest >= ask.count then
    passed = passed - (divide(passed, silent, max(known, 1)))
  end
  local tokens, rest = divide(passed, ask.count, ask.per)
  pay(pool, tokens, rest, ask.per)
end

-- Charges what is gone more than before, or gives back what is gone less.
local function book(pool, ask, before, after, most_debt)
  if not ask.count then return end
  if after > before then
    local most = ask.most + most_debt
    pool.debt = pool.debt + (after - before)
    if pool.debt >= most then pool.debt, pool.rest = most, 0 end
  else
    pay(pool, before - after, 0, ask.per)
  end
end

local function available(pool, ask)
  if ask.count then return less(ask.most, pool.debt + min(pool.rest, 1)) end
  local left = ask.most
  for _, entry in pairs(pool.entries) do left = less(left, entry[BEFORE] + gone(entry) + entry[KEPT]) end
  return left
end

local function expire(pool, now, ask, gone_after)
  local back = 0
  for gateway, entry in pairs(pool.entries) do
    if is_silent(entry, now, ask.ttl) then
      back = back + less(entry[GRANTED], entry[SPENT])
      entry[GRANTED] = min(entry[GRANTED], entry[SPENT])
    end
    if (now - entry[HEARD]) * 1000 >= gone_after then
      entry[KEPT] = 0
      if ask.count then pool.entries[gateway] = nil end
    end
  end
  book(pool, ask, back, 0, 0)
end

-- What a word changes in what is gone because of its gateway: before and after; nothing when it is an old word.
local function settle(pool, now, ask)
  local entry = pool.entries[ask.gateway]
  if not entry then
    local others = 0
    for _ in pairs(pool.entries) do others = others + 1 end
    if others >= MOST_GATEWAYS then return nil end
    entry = { ask.life, 0, ask.before, ask.heard, ask.heard, 0, 0, 0 }
    pool.entries[ask.gateway] = entry
  end
  local new_life = ask.life > entry[LIFE] or (ask.life < entry[LIFE] and is_silent(entry, now, ask.ttl))
  if not new_life and not (ask.life == entry[LIFE] and ask.word > entry[WORD]) then return nil end
  local before = gone(entry)
  if new_life then
    before = less(before, entry[SPENT]) + ask.heard
    entry[BEFORE] = max(ask.before, entry[BEFORE] + entry[SPENT])
    entry[LIFE], entry[SPENT], entry[GRANTED] = ask.life, ask.heard, ask.heard
  end
  entry[SPENT] = max(entry[SPENT], ask.spent)
  entry[GRANTED] = min(entry[GRANTED], ask.allowance)
  entry[KEPT], entry[WORD], entry[WANT], entry[HEARD] = 0, ask.word, ask.want, now
  return before, gone(entry), entry
end

-- How much of what is available goes to who asks: what it wants, or its part when all together want more.
local function portion(pool, now, ask, entry, left)
  local want = min(ask.want, ask.hold)
  local more = less(want, less(entry[GRANTED], entry[SPENT]))
  local wants = 0
  for _, other in pairs(pool.entries) do
    if not is_silent(other, now, ask.ttl) then wants = wants + min(other[WANT], ask.hold) end
  end
  if wants <= left then return min(more, left) end
  local part, rest = divide(left, want, wants)
  if rest > 0 then part = part + 1 end
  return min(more, part, left)
end

-- A pool as it was kept; a rate that was edited since keeps the tokens that are missing.
local function load(key, now, ask)
  local pool = { at = now, debt = 0, rest = 0, entries = {} }
  local kept = redis.call('GET', key)
  if not kept then return pool end
  local good, at, debt, rest, per, entries = pcall(cmsgpack.unpack, kept)
  if not good or type(entries) ~= 'table' then return pool end
  if at > now + SET_BACK then
    for _, entry in pairs(entries) do entry[HEARD] = min(entry[HEARD], now) end
    at = now
  end
  if ask.count and per ~= ask.per then
    local whole, more = divide(rest, ask.per, max(per, 1))
    rest = whole + min(more, 1)
    if rest >= ask.per then debt, rest = debt + 1, 0 end
  end
  pool.at, pool.debt, pool.rest, pool.entries = at, debt, rest, entries
  return pool
end

local function save(key, pool, ask, known, gone_after)
  local keep = ask.keep
  if ask.count then
    -- Until the bucket is full and all are forgotten, the pool means something.
    local fill = (pool.debt + 1) * ask.per / ask.count * max(known, 1)
    keep = min(keep, floor((fill + gone_after * 2 + ask.ttl) / 1000000) + 1)
  end
  redis.call('SET', key, cmsgpack.pack(pool.at, pool.debt, pool.rest, ask.per or 0, pool.entries), 'PX',
    string.format('%.0f', keep))
end

local function answer(key, time, ask, known, heard, gone_after)
  local pool = load(key, time, ask)
  local now = max(time, pool.at)
  pass_time(pool, now, ask, known, heard)
  expire(pool, now, ask, gone_after)
  local before, after, entry = settle(pool, now, ask)
  local grant = false
  if before then
    local most_debt = ask.lease * max(known, 1)
    book(pool, ask, before, after, most_debt)
    local left = available(pool, ask)
    local give = portion(pool, now, ask, entry, left)
    left, before = left - give, gone(entry)
    entry[GRANTED] = before + give
    local share = 0
    if not ask.count and ask.want > 0 then share = floor(left / max(known, 1)) end
    -- Until it says otherwise the gateway may not have heard of the new one.
    entry[KEPT] = max(share, ask.share)
    book(pool, ask, before, entry[GRANTED], most_debt)
    grant = { entry[GRANTED], left, share }
  end
  save(key, pool, ask, known, gone_after)
  return grant
end

local function read(from)
  local number = function(nth) return tonumber(ARGV[from + nth]) end
  local ask = {
    most = number(2), hold = number(5), lease = number(6), ttl = number(7), keep = number(8),
    gateway = ARGV[from + 9], life = number(10), word = number(11), before = number(12), spent = number(13),
    heard = number(14), allowance = number(15), share = number(16), want = number(17),
  }
  if ARGV[from + 1] == 'rate' then ask.count, ask.per = number(3), number(4) end
  return ask
end

local known, heard, gone_after = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time, grants = clock(), {}
for nth, key in ipairs(KEYS) do
  grants[nth] = answer(key, time, read(3 + (nth - 1) * FIELDS), known, heard, gone_after)
end
return grants
