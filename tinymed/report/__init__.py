"""Pictures and tables of a run, made from its history and metrics; nothing here trains or evaluates."""
