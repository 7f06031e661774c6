package ring

import "C"
