"""What operators ask of every service: what needs somebody, and what a word names.

`todo` and `finding` are pure and hold the shapes; `every_service` groups the tables that each schema has;
`reading` asks the database, with any role that may read it.
"""
