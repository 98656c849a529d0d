"""Holds a listening socket like systemd does, and restarts esc when told to: a line on stdin for each restart."""
import os, signal, socket, subprocess, sys

executable, config = sys.argv[1:]
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1024)
print(listener.getsockname()[1], flush=True)


def start():
    def prepare():
        if listener.fileno() == 3:
            os.set_inheritable(3, True)
        else:
            os.dup2(listener.fileno(), 3)

    # The process must find its own id: set between fork and exec, so through a shell that replaces itself.
    command = ["sh", "-c", 'LISTEN_PID=$$ exec "$0" serve --config "$1"', executable, config]
    env = {**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "tcp"}
    return subprocess.Popen(command, env=env, preexec_fn=prepare, close_fds=False)


server = start()
for line in sys.stdin:
    server.send_signal(signal.SIGTERM)
    print(server.wait(), flush=True)
    server = start()
server.send_signal(signal.SIGTERM)
print(server.wait(), flush=True)
