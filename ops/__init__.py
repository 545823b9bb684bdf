"""The command line: starts, watches, explains and replays what the services do."""
