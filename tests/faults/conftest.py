from tests.unit.engine.conftest import quiet as quiet
