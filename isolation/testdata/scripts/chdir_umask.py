# changes: umask
import os
import stat
import tempfile

os.mkdir("below")
os.chdir("below")
print(os.path.basename(os.getcwd()))
os.umask(0o027)
open("f", "w").close()
print(stat.filemode(os.stat("f").st_mode), os.access("f", os.R_OK))
os.symlink("f", "link")
print(os.readlink("link"), os.path.islink("link"), os.path.realpath("link") == os.path.realpath("f"))
