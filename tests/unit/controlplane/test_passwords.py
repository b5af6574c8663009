import subprocess
import sys


def test_a_stored_password_costs_what_rfc_9106_recommends() -> None:
    # In a process of its own: tests make hashing cheap.
    program = "from streamswarm_controlplane.security import hash_password; print(hash_password('x'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
