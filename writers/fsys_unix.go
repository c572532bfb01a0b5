//go:build unix

package writers

import (
	"errors"
	"os"
	"syscall"
)

func syncDir(d *os.File) error {
	err := d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // a file system that has no such thing
	}
	return err
}

// lockFile takes the lock at path, which the process holds until the file is
// closed. It fails at once where another holds it.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, errLocked
			}
			if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOLCK) {
				return nil, nil // a file system without locks
			}
			return nil, err
		}
		// The holder before may have removed the file after it was opened here.
		is, err := f.Stat()
		if err == nil {
			var at os.FileInfo
			if at, err = os.Stat(path); err == nil && os.SameFile(is, at) {
				return f, nil
			}
		}
		f.Close()
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
}
