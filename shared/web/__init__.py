"""The HTTP side that all services share: problems, tokens and scopes, limits, paging, pages.

`routes` says what a route is, `application` makes the routes of a service an application. Nothing here
knows a service, its tables or its fold.
"""
