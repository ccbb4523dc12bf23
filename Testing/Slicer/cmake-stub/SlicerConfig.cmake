# A stand-in for an installed Slicer, enough to configure, build and install a scripted extension.
#
# The directory names, the arguments of the macros and what they copy and install follow Slicer 5.12's
# SlicerMacroBuildScriptedModule.cmake, SlicerMacroPythonTesting.cmake, UseSlicer.cmake and CTK's
# ctkMacroCompilePythonScript.cmake. Left out: byte compilation, the launcher, packaging.
set(Slicer_FOUND TRUE)
set(Slicer_VERSION 5.12.4)
set(Slicer_USE_PYTHONQT ON)
set(Slicer_LIB_DIR "lib/Slicer-5.12")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_LIB_DIR}/qt-scripted-modules")
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/GenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Package.cmake")
