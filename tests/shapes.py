"""What checks the annotations in tests: beartype, for which a whole number is a float too, as in PEP 484."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
