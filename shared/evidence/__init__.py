"""What is told of an order when somebody disputes it: entries, their chain, their words in two languages."""
