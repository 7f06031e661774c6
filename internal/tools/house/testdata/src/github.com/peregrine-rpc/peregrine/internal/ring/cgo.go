package ring

import "C" // want `C is imported only in files named`
