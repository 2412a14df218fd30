"""What ordinary cells do. Prints one line for each that works."""
import asyncio, concurrent.futures, ctypes, json, multiprocessing, os, shutil, socket, sqlite3, subprocess, sys, tempfile, threading, time


def square(n):
    return n * n


def numpy():
    import numpy as np
    assert (np.arange(250000.0).reshape(500, 500) @ np.eye(500)).sum() > 0


def pandas():
    import pandas as pd
    frame = pd.DataFrame({"a": range(1000), "b": range(1000)})
    frame.to_csv("/home/user/a.csv")
    assert pd.read_csv("/home/user/a.csv").groupby("b").sum().shape == (1000, 2)


def matplotlib():
    os.environ["MPLCONFIGDIR"] = "/tmp/mpl"
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    plt.plot([1, 2, 3])
    plt.savefig("/home/user/a.png")
    assert os.path.getsize("/home/user/a.png") > 1000


def processes():
    assert subprocess.run("echo $((6*7)) | cat", shell=True, capture_output=True, text=True).stdout == "42\n"


def threads():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(square, range(100))) == 328350


def pools():
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(square, range(4)) == [0, 1, 4, 9]


def shared():
    from multiprocessing import shared_memory
    block = shared_memory.SharedMemory(create=True, size=4096)
    block.close()
    block.unlink()


def coroutines():
    async def main():
        child = await asyncio.create_subprocess_exec("echo", "hi", stdout=subprocess.PIPE)
        out, _ = await child.communicate()
        server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert out == b"hi\n" and await reader.read() == b""
        writer.close()
        server.close()
    asyncio.run(main())


def unix_sockets():
    a, b = socket.socketpair()
    a.sendall(b"x")
    assert b.recv(1) == b"x"


def files():
    os.mkfifo("/tmp/fifo-w")
    with tempfile.NamedTemporaryFile(dir="/home/user") as f:
        f.write(b"x" * 100000)
        f.flush()
        os.fsync(f.fileno())
        shutil.copy(f.name, "/home/user/copy")
    db = sqlite3.connect("/home/user/db.sqlite")
    db.execute("pragma journal_mode=wal")
    db.execute("create table t (a)")
    db.execute("insert into t values (1)")
    db.commit()
    assert db.execute("select * from t").fetchall() == [(1,)]


def foreign_functions():
    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    def back(n):
        return n + 1
    assert back(1) == 2


def node():
    script = "const {execSync} = require('child_process'); require('fs').writeFileSync('/home/user/n', execSync('echo 1')); " \
             "new (require('worker_threads').Worker)('1', {eval: true}).on('exit', () => console.log('fine'))"
    assert subprocess.run(["node", "-e", script], capture_output=True, text=True).stdout == "fine\n"


def git():
    for command in ("init -q r", "-C r config user.email a@example.com", "-C r config user.name a",
                    "-C r commit -q --allow-empty -m first", "-C r log --oneline", "clone -q r s"):
        subprocess.run(["git", *command.split()], check=True, cwd="/home/user", capture_output=True)


def timers():
    start = time.monotonic()
    threading.Event().wait(0.01)
    assert time.monotonic() > start


if __name__ == "__main__":
    done = {}
    for work in (numpy, pandas, matplotlib, processes, threads, pools, shared, coroutines, unix_sockets, files, foreign_functions, node, git, timers):
        if work in (node, git) and shutil.which(work.__name__) is None:
            continue
        try:
            work()
        except BaseException as e:
            done[work.__name__] = repr(e) + " " + str(getattr(e, "stderr", ""))
        else:
            done[work.__name__] = "fine"
    json.dump(done, sys.stdout)
