-- SPDX-License-Identifier: Apache-2.0
-- wrk's side of the bench: `wrk … -s wrk.lua URL -- [POST_BYTES]`.
-- The request is built once, before the clock starts; the summary is printed
-- as one line of JSON because wrk's own report rounds.

function init(args)
   if args[1] then
      wrk.method = "POST"
      wrk.body = string.rep("x", tonumber(args[1]))
      wrk.headers["Content-Type"] = "application/octet-stream"
   end
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, ' ..
      '"max_us": %d, "connect": %d, "read": %d, "write": %d, ' ..
      '"timeout": %d, "status": %d}\n',
      summary.requests, summary.duration, latency:percentile(50),
      latency:percentile(99), latency.max, e.connect, e.read, e.write,
      e.timeout, e.status))
end
