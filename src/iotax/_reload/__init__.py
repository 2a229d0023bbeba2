"""What --reload does while an application is developed: it watches files and restarts workers."""
