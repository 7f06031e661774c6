// Command vulncheck looks for known vulnerabilities in what the modules of this repository call, in the Go vulnerability
// database. Where that is out of reach it says that nothing was checked, and fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/vuln/scan"
)

const database = "https://vuln.go.dev"

func main() {
	root := flag.String("root", ".", "the repository")
	flag.Parse()
	db := database
	if set := os.Getenv("GOVULNDB"); set != "" {
		db = set
	}
	if err := run(context.Background(), *root, db); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, db string) error {
	if err := reach(ctx, db); err != nil {
		return fmt.Errorf("nothing was checked, since the database is out of reach (GOVULNDB may name another): %w", err)
	}
	modules, err := modulesOf(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, module := range modules {
		fmt.Println("===", module)
		cmd := scan.Command(ctx, "-C", module, "-db", db, "./...")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err = cmd.Start(); err == nil {
			err = cmd.Wait()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", module, err))
		}
	}
	return errors.Join(errs...)
}

// reach asks the database for its index, which govulncheck begins with.
func reach(ctx context.Context, db string) error {
	u, err := url.Parse(db)
	if err != nil {
		return err
	}
	if u.Scheme == "file" {
		_, err := os.Stat(filepath.Join(u.Path, "index", "db.json"))
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(db, "/")+"/index/db.json", http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", request.URL, response.Status)
	}
	return nil
}

// modulesOf finds the folders that have a go.mod, save those for tests.
func modulesOf(root string) (found []string, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".git")):
			return fs.SkipDir
		case entry.Name() == "go.mod":
			found = append(found, filepath.Dir(path))
		}
		return nil
	})
	return found, err
}
