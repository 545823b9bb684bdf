"""The console: what `pawl` shows, as pages that people click through and act in. A process of its own.

It reads with a role that only reads, through the functions of the commands, and changes something only by
asking a service, with a token of the person who acts. It keeps who is signed in, thresholds, and an hour of
lag, and nothing else, so that stopping it changes nothing for anybody. `app` puts it together; `screens` has
a module for each page.
"""
