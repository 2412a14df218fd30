# Makes the archives of the tests: `python generate.py` in this folder, with py7zr 1.1.4 and the commands zip,
# xz, zstd, bzip2 and tar. All of them hold the same two files and two directories, but for those that say otherwise.
import bz2, gzip, io, lzma, os, random, subprocess, sys, tarfile, tempfile, zipfile
import py7zr

out = os.path.dirname(os.path.abspath(__file__))
work = tempfile.mkdtemp()
os.makedirs(f"{work}/tree/sub/empty")
open(f"{work}/tree/hello.txt", "w").write("Hello, archive.\n")
open(f"{work}/tree/sub/run.sh", "w").write("#!/bin/sh\n" + "echo ü\n" * 3000)
os.chmod(f"{work}/tree/sub/run.sh", 0o755)
os.chmod(f"{work}/tree/hello.txt", 0o644)
for top, dirs, files in os.walk(f"{work}/tree"):
    for name in [top] + [f"{top}/{f}" for f in files]:
        os.utime(name, (1_700_000_000, 1_700_000_000))

def run(*command): subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)

run("zip", "-q", "-r", f"{out}/infozip.zip", "tree")
run("zip", "-q", "-r", "-P", "secret", f"{out}/encrypted.zip", "tree")
run("zip", "-q", "-r", "-Z", "bzip2", f"{out}/bzip2.zip", "tree")
for name, method in ("python.zip", zipfile.ZIP_DEFLATED), ("stored.zip", zipfile.ZIP_STORED), ("lzma.zip", zipfile.ZIP_LZMA):
    with zipfile.ZipFile(f"{out}/{name}", "w", method) as z:
        z.write(f"{work}/tree", "tree"); z.write(f"{work}/tree/sub/empty", "tree/sub/empty")
        z.write(f"{work}/tree/hello.txt", "tree/hello.txt"); z.write(f"{work}/tree/sub/run.sh", "tree/sub/run.sh")
for kind, form in ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT), ("ustar", tarfile.USTAR_FORMAT):
    with tarfile.open(f"{out}/{kind}.tar", "w", format=form) as t: t.add(f"{work}/tree", "tree")
run("tar", "--format=v7", "-cf", f"{out}/v7.tar", "tree")
plain = open(f"{out}/gnu.tar", "rb").read()
open(f"{out}/python.tar.gz", "wb").write(gzip.compress(plain, mtime=0))
open(f"{out}/python.tar.bz2", "wb").write(bz2.compress(plain))
open(f"{out}/python.tar.xz", "wb").write(lzma.compress(plain))
for name, command in ("tool.tar.xz", ["xz", "-T2", "--block-size=8192", "-c"]), ("tool.tar.zst", ["zstd", "-19", "-c"]), ("tool.tar.bz2", ["bzip2", "-c"]), ("tool.tgz", ["gzip", "-n", "-c"]):
    open(f"{out}/{name}", "wb").write(subprocess.run(command + [f"{out}/gnu.tar"], check=True, capture_output=True).stdout)
script = open(f"{work}/tree/sub/run.sh", "rb").read()
open(f"{out}/run.sh.gz", "wb").write(gzip.compress(script[:5000], mtime=0) + gzip.compress(script[5000:], mtime=0))  # two members
open(f"{out}/run.sh.bz2", "wb").write(bz2.compress(script))
open(f"{out}/run.sh.xz", "wb").write(lzma.compress(script))
open(f"{out}/run.sh.zst", "wb").write(subprocess.run(["zstd", "-c"], input=script, check=True, capture_output=True).stdout)
F = py7zr
for name, filters in {
    "lzma2.7z": [{"id": F.FILTER_LZMA2, "preset": 7}], "lzma.7z": [{"id": F.FILTER_LZMA}], "x86.7z": [{"id": F.FILTER_X86}, {"id": F.FILTER_LZMA2, "preset": 7}],
    "delta.7z": [{"id": F.FILTER_DELTA}, {"id": F.FILTER_LZMA2, "preset": 7}], "bzip2.7z": [{"id": F.FILTER_BZIP2}], "deflate.7z": [{"id": F.FILTER_DEFLATE}],
    "zstd.7z": [{"id": F.FILTER_ZSTD, "level": 3}], "copy.7z": [{"id": F.FILTER_COPY}], "ppmd.7z": [{"id": F.FILTER_PPMD, "order": 6, "mem": 24}],
}.items():
    with py7zr.SevenZipFile(f"{out}/{name}", "w", filters=filters) as z: z.writeall(f"{work}/tree", "tree")
with py7zr.SevenZipFile(f"{out}/encrypted.7z", "w", password="secret") as z: z.writeall(f"{work}/tree", "tree")
with py7zr.SevenZipFile(f"{out}/names.7z", "w", password="secret", header_encryption=True) as z: z.writeall(f"{work}/tree", "tree")
# What looks like calls of x86, near each other and at the end; its SHA-256 is what the test knows.
rnd = random.Random(7)
code = bytes(rnd.choice([0xE8, 0xE9, 0, 0xFF, rnd.randrange(256)]) for _ in range(70_001))
import hashlib; print(hashlib.sha256(code).hexdigest())
with py7zr.SevenZipFile(f"{out}/code.7z", "w", filters=[{"id": F.FILTER_X86}, {"id": F.FILTER_LZMA2, "preset": 7}]) as z: z.writestr(code, "code.bin")
open(f"{work}/sparse", "wb").truncate(1_000_000)
with open(f"{work}/sparse", "r+b") as f: f.seek(500_000); f.write(b"data")
run("tar", "--sparse", "-cf", f"{out}/sparse.tar", "sparse")
