"""What the end-to-end tests share: processes, raw connections, gates, a browser, proxies."""
