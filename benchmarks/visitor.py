"""A visitor without a browser: speaks Streamlit's own protocol over a websocket, as the page's JavaScript does.

Fifty browsers would need more of the two cores than the app; this costs next to nothing, and the server does all that
it does for a real one. The app redraws a pane until its answer is done, so the end of the script is that of the answer.
"""

from types import TracebackType

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

PATIENCE_S = 1_800


class Visitor:
    """One open tab of the arena with one pane."""

    def __init__(self, url: str, model_key: str) -> None:
        self._query = f"models={model_key}"
        self._socket = connect(
            f"ws{url.removeprefix('http')}/_stcore/stream", subprotocols=[Subprotocol("streamlit")], max_size=None
        )
        self.faults: list[str] = []
        """Everything the page showed as an error."""
        self._input = ""
        self._rerun("")

    def ask(self, message: str) -> None:
        """Send a message; returns when the page shows the whole answer."""
        self._rerun(message)

    def _rerun(self, message: str) -> None:
        request = BackMsg()
        request.rerun_script.query_string = self._query
        if message:
            state = request.rerun_script.widget_states.widgets.add(id=self._input)
            state.chat_input_value.data = message
        self._socket.send(request.SerializeToString())
        while not self._is_last(ForwardMsg.FromString(self._socket.recv(PATIENCE_S, decode=False))):
            pass

    def _is_last(self, message: ForwardMsg) -> bool:
        element = message.delta.new_element
        match element.WhichOneof("type"):
            case "chat_input":
                self._input = element.chat_input.id
            case "exception":
                self.faults.append(element.exception.message)
        finished = message.WhichOneof("type") == "script_finished"
        return finished and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()
