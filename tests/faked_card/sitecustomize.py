"""A CUDA card that torch finds and that nothing may use: ``PYTHONPATH=tests/faked_card pytest``.

Python imports this file as it starts, in every process below as well.
"""

import importlib.abc
import importlib.util
import sys


def fake(torch):
    def used(*_, **__):
        raise RuntimeError("the CUDA card was used")

    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: 1
    torch.cuda.get_arch_list = lambda: []
    torch.cuda._lazy_init = used
    # What the compiler keeps of any card it finds, whatever it compiles for.
    torch.cuda.get_rng_state = lambda device="cuda": torch.empty(0, dtype=torch.uint8)
    torch.cuda.set_rng_state = lambda state, device="cuda": None


class _OnceImported(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("torch")
        load = spec.loader.exec_module

        def load_and_fake(module):
            load(module)
            fake(module)

        spec.loader.exec_module = load_and_fake
        return spec


sys.meta_path.insert(0, _OnceImported())
