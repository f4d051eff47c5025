"""The report of a class as one HTML page: `page.class_report`."""
