"""What people run: the command `pawl`, in rooms.

`pawl` is the program, `cli` lists its commands. `shell` has what all of them share, `setup` prepares servers,
`gateway` answers payouts as a payment gateway would, `local` runs the whole system on this machine, `watch`
looks at a system, `audit` judges one, `replay` sends an order history through one. A room imports only the
rooms below it (the contracts in pyproject.toml), and no room imports a service.
"""
