"""The one loop, for pretraining and for every kind of fine-tuning."""
