"""What the tests of live servers share: processes, raw connections, gates, a browser, proxies."""
