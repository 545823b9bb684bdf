"""The decisions of the refunds service, by step of the business. Pure functions.

Orders alone decides who gets a unit. This service refuses early what is surely lost, asks orders for the rest
(`refund.accepted`), and sees to it that a granted refund is paid out exactly once (domain.md section 4).
"""
