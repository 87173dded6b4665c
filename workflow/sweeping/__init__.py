"""Searching over settings: a study of many trainings, kept by Optuna, run by workers that may be many and may die."""
