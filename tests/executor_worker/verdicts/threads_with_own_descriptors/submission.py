import ctypes

CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD = 0x100, 0x200, 0x400, 0x800, 0x10000
THREAD = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD

libc = ctypes.CDLL(None, use_errno=True)
came_through = []
for name, flags in {"own files": THREAD | CLONE_FS, "own folder": THREAD | CLONE_FILES, "both": THREAD}.items():
    stack = ctypes.create_string_buffer(65536)
    top = ctypes.c_void_p((ctypes.addressof(stack) + 65536) & ~15)
    # glibc's own clone(): the thread sleeps in pause() until the program ends.
    if libc.clone(ctypes.cast(libc.pause, ctypes.c_void_p), top, flags, None) > 0:
        came_through.append(name)
print("CAME THROUGH" if came_through else "kept in", came_through)
