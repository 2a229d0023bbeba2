"""One worker in this process: its threads, stop signals, exit, and overdue calls."""
