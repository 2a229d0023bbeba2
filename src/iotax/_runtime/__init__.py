"""One worker in this process: its threads, its stop signals, its end, calls that are overdue."""
