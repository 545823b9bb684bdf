"""What the orders service decides, by step of the business: state and event in, new state and events out.

One invariant carries everything: `issuing + issued + refunding + refunded <= paid` on every line, always.
Issuing and refunding both claim units here, under the order's row lock, and nowhere else; whoever comes
second is denied. The won of a refund are decided in the same breath: no two refunds count the same VAT.
"""
