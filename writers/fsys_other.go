//go:build !unix

package writers

import "os"

// syncDir does nothing where folders cannot be synced.
func syncDir(*os.File) error { return nil }

// lockFile takes no lock where there is no portable one.
func lockFile(string) (*os.File, error) { return nil, nil }
