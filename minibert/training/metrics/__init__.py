"""Metrics of the tasks: functions of the correct and the predicted values of a whole evaluation set."""
