"""Models from the Hugging Face hub: found, judged before the download, downloaded, and known by their origin after."""


class HubError(Exception):
    """The hub cannot give something; a sentence for the user: what, why, and what to do."""
