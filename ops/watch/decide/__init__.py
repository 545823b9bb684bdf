"""What operators decide: about a refund, money in quarantine, a request that waits, a partner.

Each goes through the service that owns it, with a token and a reason. Without --yes it only shows what would
follow: `answers` asks and prints, the other modules each are a group of commands.
"""
