//go:build !linux

package main

import (
	"context"
	"errors"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/doctor"
)

// figures is never reached: doctor knows Linux only.
func (d *doctorCommand) figures(context.Context, *doctor.Facts) error { return errors.ErrUnsupported }
