-- unlock NAME HOLDER: frees the lock P..NAME if HOLDER still has it. 1 freed, 0 not ours.
if #ARGV ~= 2 then return redis.error_reply('CFERR EINVAL unlock takes NAME HOLDER') end
local key = KEYS[1] .. ARGV[1]
local holder = redis.pcall('GET', key)
if type(holder) == 'table' and holder.err then return holder end
if holder ~= ARGV[2] then return 0 end
return redis.call('DEL', key)
