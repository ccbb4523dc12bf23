# slicerMacroBuildScriptedModule and slicer_add_python_unittest, as far as an extension can see them.
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY_SLICER "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_SLICER_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR
      "Unknown keywords given to slicerMacroBuildScriptedModule(): \"${MY_SLICER_UNPARSED_ARGUMENTS}\"")
  endif()
  if(NOT DEFINED MY_SLICER_NAME)
    message(FATAL_ERROR "NAME is mandatory")
  endif()
  foreach(_kind SCRIPTS RESOURCES)
    foreach(_value ${MY_SLICER_${_kind}})
      if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${_value})
        message(FATAL_ERROR
          "slicerMacroBuildScriptedModule(${_kind}) given nonexistent file or directory '${_value}'")
      endif()
    endforeach()
  endforeach()

  # Scripts and resources keep their relative path; the whole destination folder is installed.
  set(_destination "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  set(_copied)
  foreach(_value ${MY_SLICER_SCRIPTS} ${MY_SLICER_RESOURCES})
    add_custom_command(
      OUTPUT "${_destination}/${_value}"
      DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${_value}"
      COMMAND ${CMAKE_COMMAND} -E copy "${CMAKE_CURRENT_SOURCE_DIR}/${_value}" "${_destination}/${_value}")
    list(APPEND _copied "${_destination}/${_value}")
  endforeach()
  add_custom_target(Copy${MY_SLICER_NAME}Files ALL DEPENDS ${_copied})
  install(DIRECTORY "${_destination}/"
    DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}" COMPONENT RuntimeLibraries
    USE_SOURCE_PERMISSIONS)
endmacro()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${MY_SCRIPT})
    message(FATAL_ERROR "slicer_add_python_unittest(SCRIPT) given nonexistent file '${MY_SCRIPT}'")
  endif()
  get_filename_component(_test_name ${MY_SCRIPT} NAME_WE)
  message(STATUS "Registered test py_${MY_TESTNAME_PREFIX}${_test_name}")
endmacro()
