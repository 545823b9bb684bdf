"""Tools for whoever changes Pawl: generators, the drawing of the packages, and what the build refuses.

They are part of the repository and never of the image: nothing else imports them.
"""
