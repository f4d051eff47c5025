"""Evaluation of a trained model: scores with intervals, a report by class, confusions, errors, and receipts."""
