"""What a browser can ask Streamlit for without any button of the app, as far as it would harm others.

Streamlit has no switch for these; so two of its methods are replaced, once for the process.
"""

from starlette.exceptions import HTTPException
from streamlit.runtime import get_instance
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from dashboard import services, visitors

_keep_file = MemoryUploadedFileManager.add_file


def close_side_doors() -> None:
    """May be called any number of times."""
    AppSession._handle_clear_cache_request = _clear_nothing
    MemoryUploadedFileManager.add_file = _keep_file_of_owner


def _clear_nothing(session: AppSession) -> None:
    """One message would end the engine with everybody's answers, and forget the limits: they are cached for all."""


def _keep_file_of_owner(manager: MemoryUploadedFileManager, session_id: str, file: UploadedFileRec) -> None:
    """A file stays in memory until its session ends, uploader or not. Called where no visitor's script runs."""
    if services.settings().public:
        found = get_instance()._session_mgr.get_session_info(session_id)
        if found is None or not visitors.may_manage(found.session._user_info):
            raise HTTPException(403, "Only an owner of this page can upload files.")
    _keep_file(manager, session_id, file)
