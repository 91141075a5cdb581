"""What is refused for who asks: of these two, the one says so and the other says nothing."""

from processing.model.errors import BadInput, QyranError


class Unauthorised(QyranError):
    """A token that is none of ours, or none where one is needed."""

    default_kind = "token.invalid"


class NotFound(BadInput):
    """It is not there, or not for the one who asks: nobody is told which."""

    default_kind = "not_found"
