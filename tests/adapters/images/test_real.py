"""A real engine and registry keep the contract, with both builders."""

import pytest

from tests.adapters.images.contract import ImagesContract
from tests.adapters.images.workshop import Workshop

pytestmark = pytest.mark.docker


class TestDockerImages(ImagesContract):
    @pytest.fixture
    def world(self, workshop: Workshop) -> Workshop:
        return workshop
