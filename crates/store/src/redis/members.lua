-- Which gateways there are. KEYS: the table. ARGV: who speaks, whether it `stays` or `leaves`, within which nanoseconds
-- one counts as heard of, and after how many it is forgotten. Answers how many are known, and how many heard of.
local key, gateway, word = KEYS[1], ARGV[1], ARGV[2]
local ttl, gone_after = tonumber(ARGV[3]), tonumber(ARGV[4])
local now = clock()
if word == 'leaves' then
  redis.call('HDEL', key, gateway)
else
  redis.call('HSET', key, gateway, string.format('%.0f', now))
  redis.call('PEXPIRE', key, string.format('%.0f', math.floor(gone_after / 1000000) * 2 + 1))
end
local known, heard, all = 0, 0, redis.call('HGETALL', key)
for nth = 1, #all, 2 do
  local silent = (now - tonumber(all[nth + 1])) * 1000
  -- It was heard of by a clock that ran ahead.
  if silent < 0 then
    redis.call('HSET', key, all[nth], string.format('%.0f', now))
    silent = 0
  end
  if silent >= gone_after then
    redis.call('HDEL', key, all[nth])
  else
    known = known + 1
    if silent < ttl then heard = heard + 1 end
  end
end
return { known, heard }
