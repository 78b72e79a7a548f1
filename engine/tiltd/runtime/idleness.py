"""When does nobody need the daemon any more?

It is looked at now and then, so between two looks a session may have begun and ended: then it is
that session's client who is waited for from this look on, however long there was nobody before.  On
a busy machine a client may take seconds from starting a session to watching it.
"""

from dataclasses import dataclass

from tiltd.model.state import Session

_UNWATCHED = 10.0
"""Seconds for the client of a session that is over to ask how it ended."""


@dataclass(slots=True)
class Idleness:
    """See the module.  Times are seconds of any one clock.

    Args:
        since: from when on there has been nobody.
        limit: how long there may be nobody; `None`: for ever.
        one_session: whether it is over with the first session, as soon as its client is gone.
    """

    since: float
    limit: float | None
    one_session: bool
    _session: str = ""

    def over(
        self, now: float, session: Session | None, *, streams: int, told: str, planned: bool
    ) -> bool:
        """Whether to stop, at one look.

        Args:
            now: when.
            session: the running or last one.
            streams: how many clients listen.
            told: the session whose end nobody is left to be told of.
            planned: somebody has had a look, without a session.
        """
        name = "" if session is None else session.spec.id
        at_work = streams > 0 or not (session is None or session.settled)
        if at_work or name != self._session:
            self.since, self._session = now, name
            if at_work:
                return False
        silent = now - self.since
        if self.limit is not None and silent >= self.limit:
            return True
        if session is None:
            return self.one_session and planned
        return self.one_session and (told == name or silent >= _UNWATCHED)
