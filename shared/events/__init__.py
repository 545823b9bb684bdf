"""The published language: envelope, types, models, faults, answers, schemas and golden examples."""
