-- Posts the bodies of a file, one a line, one after the other and again; says at the end as JSON what came of it.
-- The second argument is how many copies there are of each, told apart by a header: more bytes to go through, nothing else.
-- How long the first pass took is told as well, from its first request to that of the second pass.
local ffi = require("ffi")
ffi.cdef [[
  struct clock_reading { long seconds; long nanoseconds; };
  int clock_gettime(int clock, struct clock_reading *reading);
]]
local reading = ffi.new("struct clock_reading")
local bodies, number, began, thread = {}, 0, nil, nil
first_pass = 0 -- global, as only these can be read when all is done

local function now()
  ffi.C.clock_gettime(1, reading)
  return tonumber(reading.seconds) * 1e6 + tonumber(reading.nanoseconds) / 1e3
end

function setup(one)
  thread = one
end

function init(arguments)
  for body in io.lines(arguments[1]) do
    for copy = 1, tonumber(arguments[2]) do
      local headers = { ["Content-Type"] = "application/json", ["X-Copy"] = tostring(copy) }
      bodies[#bodies + 1] = wrk.format("POST", nil, headers, body)
    end
  end
end

function request()
  if number == #bodies then
    number = 0
    if first_pass == 0 and began ~= nil then
      first_pass = now() - began
    end
  end
  began = began or now()
  number = number + 1
  return bodies[number]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "failed": %d, "refused": %d, "first_pass": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    thread:get("first_pass"), latency:percentile(50), latency:percentile(99)
  ))
end
