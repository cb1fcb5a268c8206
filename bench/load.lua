-- What wrk sends: identify.json with a new id and one of BENCH_PEOPLE people each time,
-- alone or in a batch. Environment beside it: BENCH_BODY, BENCH_PATH, BENCH_BATCH (1:
-- alone), BENCH_RUN.
local people = tonumber(os.getenv("BENCH_PEOPLE"))
local batch = tonumber(os.getenv("BENCH_BATCH"))
local run = os.getenv("BENCH_RUN")
local path = os.getenv("BENCH_PATH")
local headers = { ["Content-Type"] = "application/json", Authorization = "Basic ZGV2Og==" }

local file = assert(io.open(os.getenv("BENCH_BODY")))
local template = file:read("*a"):gsub("%s+$", ""):gsub("%%", "%%%%")
file:close()

local slots = {}
for name in template:gmatch("@(%u+)@") do
  slots[#slots + 1] = name
end
template = template:gsub("@%u+@", "%%s")

local sent = 0

local function message()
  sent = sent + 1
  local values = {
    ID = string.format("%s-%09d", run, sent),
    PERSON = string.format("%05d", math.random(people) - 1),
  }
  local filled = {}
  for i, name in ipairs(slots) do
    filled[i] = values[name]
  end
  return string.format(template, unpack(filled))
end

function init()
  math.randomseed(os.time())
end

function request()
  if batch == 1 then
    return wrk.format("POST", path, headers, message())
  end
  local messages = {}
  for i = 1, batch do
    messages[i] = message()
  end
  local body = '{"batch":[' .. table.concat(messages, ",") .. "]}"
  return wrk.format("POST", path, headers, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "refused": %d, "broken": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
