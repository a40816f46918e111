-- Shows that a script runs and writes, and tells the server's clock: {seconds, microseconds}.
redis.call('SET', KEYS[1], '1', 'PX', 1000)
return redis.call('TIME')
